/* A bare fan-out server: what this kernel and this processor can do at most when every listener gets a write of its own.
 *
 *     bare SIZE PERIOD_MICROSECONDS
 *
 * says `ready PORT`, lets anybody in who asks for a WebSocket, and sends everybody a binary message of SIZE bytes each
 * period: the gateway's header with an ascending seq, and the same bytes behind it.
 *
 * A message is built once, in a ring; a client is a position in it, so nothing is copied, queued or allocated in the
 * loop, and who is a ring behind is let go. A write that does not fit goes on when the socket has room again.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { RING = 64, EVENTS = 512, REQUEST = 2048, HEADER = 24, RATE = 48000, MOST_FILES = 1 << 20 };

struct client {
    uint64_t next;          /* the message that it gets, or is in the middle of */
    size_t offset;          /* bytes of that message that it has */
    int place;              /* in `listening`, -1 before the handshake */
    int length;             /* of the request so far */
    bool waits;             /* for room in its socket */
    char request[REQUEST];
};

static struct client *clients; /* by file descriptor */
static int *listening, listeners, files, poll_fd, door_fd, timer_fd;
static unsigned char *ring;
static size_t frame, head_size, size;
static uint64_t built, duration; /* messages so far; samples in each */

static void fail(const char *what) {
    perror(what);
    exit(1);
}

/* -- the handshake ------------------------------------------------------------------------------------------------ */

static uint32_t rotate(uint32_t value, int by) {
    return value << by | value >> (32 - by);
}

/* SHA-1 of at most 119 bytes: two blocks (RFC 3174). */
static void sha1(const char *text, size_t length, unsigned char digest[20]) {
    uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0}, w[80];
    unsigned char data[128] = {0};
    size_t end = length < 56 ? 64 : 128;
    memcpy(data, text, length);
    data[length] = 0x80;
    data[end - 2] = (unsigned char)(length * 8 >> 8);
    data[end - 1] = (unsigned char)(length * 8);
    for (size_t block = 0; block < end; block += 64) {
        for (int i = 0; i < 80; i++) {
            if (i < 16)
                w[i] = (uint32_t)data[block + 4 * i] << 24 | data[block + 4 * i + 1] << 16 |
                       data[block + 4 * i + 2] << 8 | data[block + 4 * i + 3];
            else
                w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
        }
        uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
        for (int i = 0; i < 80; i++) {
            uint32_t f = i < 20 ? ((b & c) | (~b & d)) + 0x5a827999
                       : i < 40 ? (b ^ c ^ d) + 0x6ed9eba1
                       : i < 60 ? ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc
                                : (b ^ c ^ d) + 0xca62c1d6;
            uint32_t sum = rotate(a, 5) + f + e + w[i];
            e = d, d = c, c = rotate(b, 30), b = a, a = sum;
        }
        h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e;
    }
    for (int i = 0; i < 20; i++)
        digest[i] = (unsigned char)(h[i / 4] >> (24 - 8 * (i % 4)));
}

/* 20 bytes as the 28 letters of base64, and a zero. */
static void base64(const unsigned char digest[20], char out[29]) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (int i = 0; i < 7; i++) {
        uint32_t three = (uint32_t)digest[3 * i] << 16 | digest[3 * i + 1] << 8 | (i < 6 ? digest[3 * i + 2] : 0);
        for (int j = 0; j < 4; j++)
            out[4 * i + j] = letters[three >> (18 - 6 * j) & 63];
    }
    out[27] = '=';
    out[28] = 0;
}

static bool greet(int fd, const char *request) {
    char text[128], accept[29], answer[256];
    unsigned char digest[20];
    const char *key = strcasestr(request, "\r\nSec-WebSocket-Key:");
    if (!key || sscanf(key + 20, " %32s", text) != 1)
        return false;
    strcat(text, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    sha1(text, strlen(text), digest);
    base64(digest, accept);
    int length = snprintf(answer, sizeof answer, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                          "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", accept);
    return send(fd, answer, (size_t)length, MSG_NOSIGNAL) == length;
}

/* -- clients ------------------------------------------------------------------------------------------------------ */

static void drop(int fd) {
    struct client *client = &clients[fd];
    if (client->place >= 0) {
        int last = listening[--listeners];
        listening[client->place] = last;
        clients[last].place = client->place;
        client->place = -1;
    }
    close(fd); /* which takes it out of the poll, too */
}

static void wait_for_room(int fd, bool waits) {
    struct epoll_event event = {.events = EPOLLIN | (waits ? EPOLLOUT : 0), .data.fd = fd};
    if (clients[fd].waits != waits && epoll_ctl(poll_fd, EPOLL_CTL_MOD, fd, &event))
        fail("epoll_ctl");
    clients[fd].waits = waits;
}

/* Sends a client all that it has not got yet, as far as there is room. */
static void push(int fd) {
    struct client *client = &clients[fd];
    if (built - client->next > RING) {
        drop(fd);
        return;
    }
    while (client->next < built) {
        size_t slot = client->next % RING, count = built - client->next;
        if (count > RING - slot)
            count = RING - slot;
        ssize_t sent = send(fd, ring + slot * frame + client->offset, count * frame - client->offset, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno == EAGAIN)
                wait_for_room(fd, true);
            else
                drop(fd);
            return;
        }
        client->offset += (size_t)sent;
        client->next += client->offset / frame;
        client->offset %= frame;
    }
    wait_for_room(fd, false);
}

/* What a client says: its request, and afterwards nothing that matters but that it leaves. */
static void hear(int fd) {
    struct client *client = &clients[fd];
    char *to = client->request + (client->place < 0 ? client->length : 0);
    ssize_t got = recv(fd, to, (size_t)(client->request + REQUEST - 1 - to), 0);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0 || (client->place >= 0 && (*to & 15) == 8)) {
        drop(fd);
        return;
    }
    if (client->place >= 0)
        return;
    client->length += (int)got;
    client->request[client->length] = 0;
    if (!strstr(client->request, "\r\n\r\n")) {
        if (client->length == REQUEST - 1)
            drop(fd);
        return;
    }
    if (!greet(fd, client->request)) {
        drop(fd);
        return;
    }
    client->next = built;
    client->place = listeners;
    listening[listeners++] = fd;
}

static void let_in(void) {
    int fd, one = 1;
    while ((fd = accept4(door_fd, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        if (fd >= files || epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event)) {
            close(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        clients[fd] = (struct client){.place = -1};
    }
}

/* -- messages ----------------------------------------------------------------------------------------------------- */

/* Every slot of the ring with all that never changes: WebSocket's own head, our version, kind and flags, the payload. */
static void prepare(void) {
    head_size = size < 126 ? 2 : size < 65536 ? 4 : 10;
    frame = head_size + size;
    if (!(ring = calloc(RING, frame)))
        fail("calloc");
    for (int slot = 0; slot < RING; slot++) {
        unsigned char *at = ring + (size_t)slot * frame;
        at[0] = 0x82;
        at[1] = (unsigned char)(size < 126 ? size : size < 65536 ? 126 : 127);
        for (size_t i = 2; i < head_size; i++)
            at[i] = (unsigned char)((uint64_t)size >> 8 * (head_size - 1 - i));
        at += head_size;
        at[0] = at[1] = at[3] = 1;
        for (size_t i = HEADER; i < size; i++)
            at[i] = (unsigned char)(i - HEADER);
        uint32_t samples = htobe32((uint32_t)duration);
        memcpy(at + 20, &samples, 4);
    }
}

static void beat(void) {
    uint64_t due;
    if (read(timer_fd, &due, sizeof due) != sizeof due)
        return;
    while (due--) {
        unsigned char *at = ring + built % RING * frame + head_size;
        uint64_t pts = htobe64(built * duration);
        uint32_t seq = htobe32((uint32_t)built);
        memcpy(at + 8, &pts, 8);
        memcpy(at + 16, &seq, 4);
        built++;
    }
    for (int i = listeners - 1; i >= 0; i--) /* backwards: who is dropped is replaced by one that was served */
        if (!clients[listening[i]].waits || built - clients[listening[i]].next > RING)
            push(listening[i]);
}

/* -- the process -------------------------------------------------------------------------------------------------- */

static void watch(int fd) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (fd < 0 || epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event))
        fail("epoll_ctl");
}

static void open_door(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    door_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (bind(door_fd, (struct sockaddr *)&address, length) || listen(door_fd, 65535) ||
        getsockname(door_fd, (struct sockaddr *)&address, &length))
        fail("listen");
    watch(door_fd);
    printf("ready %d\n", ntohs(address.sin_port));
    fflush(stdout);
}

int main(int count, char **arguments) {
    if (count != 3 || (size = strtoul(arguments[1], NULL, 10)) < HEADER)
        return fprintf(stderr, "usage: bare SIZE PERIOD_MICROSECONDS\n"), 2;
    uint64_t period = strtoull(arguments[2], NULL, 10);
    struct timespec step = {(time_t)(period / 1000000), (long)(period % 1000000 * 1000)};
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    files = limit.rlim_cur < MOST_FILES ? (int)limit.rlim_cur : MOST_FILES;
    clients = calloc((size_t)files, sizeof *clients);
    listening = calloc((size_t)files, sizeof *listening);
    if (!clients || !listening)
        fail("calloc");
    duration = (period * RATE + 500000) / 1000000;
    prepare();
    poll_fd = epoll_create1(0);
    timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    if (timerfd_settime(timer_fd, 0, &(struct itimerspec){.it_interval = step, .it_value = step}, NULL))
        fail("timerfd_settime");
    watch(timer_fd);
    open_door();
    for (;;) {
        struct epoll_event events[EVENTS];
        int ready = epoll_wait(poll_fd, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == door_fd)
                let_in();
            else if (fd == timer_fd)
                beat();
            else if (events[i].events & ~(uint32_t)EPOLLOUT)
                hear(fd);
            else if (clients[fd].place >= 0)
                push(fd);
        }
    }
}
