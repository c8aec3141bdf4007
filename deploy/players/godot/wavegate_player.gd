## A song from Wavegate in Godot 4, heard while it is still being made.
##
## How to use it: copy this file into the project, put a WavegatePlayer into the scene, and fill in the server, the
## stream, and the address of YOUR server that gives out tickets (ticket_server.py in ../python is one). The tenant's
## key belongs on that server, never into the game. A script may set `ticket` instead: a Callable that returns one, and
## may `await`; it is called for every connection.
##
## A broken connection is taken up again where it broke: every sample comes once and in order. The audio thread reads
## the ring of AudioStreamGenerator, which is engine code: no script runs there. The song is asked for in the rate that
## the mixer has, so nothing is resampled. What is not played yet is kept, 192 kB a second of stereo at 48 kHz.
class_name WavegatePlayer
extends AudioStreamPlayer

## Once all of it was played, or nothing more can come: "completed", "failed" or "closed", and why.
signal ended(state: String, failure: String)

const HEADER := 24
const SILENCE := 20.0  # longest silence before the gateway is asked whether it is there, in seconds
const PATIENCE := 10.0  # longest time for a connection to open
const ATTEMPTS := 10  # connections in a row that brought no sound
const LONGEST_LEAD := 2.0
const POSITION_LOST := 4203
const LOST_ON_THE_WAY := 4900  # our own: a frame did not reach us, although the gateway sent it
const FINAL: Array[int] = [1000, 1002, 1003, 1007, 1008, 1009, 1010]
const CODES := {"position_lost": POSITION_LOST, "credentials_expired": 4201, "quota_exceeded": 4008}

@export var server := "https://music.example"
@export var stream_id := ""
@export var ticket_url := "https://game.example/ticket"
@export_range(0.1, 2.0) var lead := 0.5  ## Seconds of sound to wait for before the song begins.
@export_range(0.1, 4.0) var ring := 0.3  ## What the audio thread reads, in seconds: longer than the game's slowest frame.
@export_range(1, 2) var channels := 2

var ticket: Callable
var state := "waiting"  ## waiting, receiving, reconnecting, and at last completed, failed or closed.
var failure := ""
var verified: Variant = null  ## Whether every byte came and hashes to what the gateway told; null if not all was heard.
var frames := 0
var doubles := 0
var gaps := 0
var reconnects := 0
var underruns := 0
var seconds := 0.0  ## Sound that has been received.

var _rate := 48000
var _socket: WebSocketPeer = null
var _asking := false
var _greeted := false
var _pinged := false
var _heard_at := 0.0
var _retry_at := 0.0
var _attempts := 0
var _epoch := -1
var _next := 0  # seq of the first frame that has not come
var _rendition := -1
var _end := -1  # samples of the song heard so far, by its own clock
var _whole := true
var _hash := HashingContext.new()
var _queue: Array[PackedByteArray] = []
var _at := 0  # byte in the first of the queue
var _queued := 0  # bytes in all
var _capacity := 0
var _flowing := false
var _told := false


func _ready() -> void:
	var mixer := int(AudioServer.get_mix_rate())
	_rate = mixer if mixer >= 8000 and mixer <= 48000 else 48000
	var generator := AudioStreamGenerator.new()
	generator.mix_rate = _rate
	generator.buffer_length = ring
	stream = generator
	playback_type = AudioServer.PLAYBACK_TYPE_STREAM  # on the web it would be a sample, which has an end
	_hash.start(HashingContext.HASH_SHA256)
	play()
	_capacity = _ring().get_frames_available()


func _process(_delta: float) -> void:
	if not _over():
		_listen()
	_feed()
	if _over() and _queued == 0 and not _told and _ring().get_frames_available() >= _capacity:
		_told = true
		ended.emit(state, failure)


## Stops listening; the song goes on for everybody else.
func close() -> void:
	if not _over():
		_finish("closed", "")


func _over() -> bool:
	return state in ["completed", "failed", "closed"]


# -- the sound card's side


func _ring() -> AudioStreamGeneratorPlayback:
	return get_stream_playback() as AudioStreamGeneratorPlayback


func _feed() -> void:
	var width := 2 * channels
	var held := float(_queued) / width / _rate
	if not _flowing:
		_flowing = _queued > 0 and (_over() or held >= lead)
		if not _flowing:
			return
	var card := _ring()
	if _queued == 0:
		if not _over() and card.get_frames_available() >= _capacity:  # ran dry: fill up again, further than before
			underruns += 1
			lead = minf(2.0 * lead, LONGEST_LEAD)
			_flowing = false
		return
	@warning_ignore("integer_division")
	var count := mini(card.get_frames_available(), _queued / width)
	var block := PackedVector2Array()
	block.resize(count)
	var piece: PackedByteArray = _queue[0]
	for i in count:
		if _at >= piece.size():
			_queue.pop_front()
			piece = _queue[0]
			_at = 0
		var left := piece.decode_s16(_at) / 32768.0
		block[i] = Vector2(left, piece.decode_s16(_at + 2) / 32768.0 if channels == 2 else left)
		_at += width
	_queued -= count * width
	if _queued == 0:
		_queue.clear()
		_at = 0
	card.push_buffer(block)


# -- the network's side


func _now() -> float:
	return Time.get_ticks_usec() / 1e6


func _listen() -> void:
	if _socket == null:
		if not _asking and _now() >= _retry_at:
			_connect()
		return
	_socket.poll()
	_read()  # what came before a close is there after it
	if _socket == null:
		return
	if _socket.get_ready_state() == WebSocketPeer.STATE_CLOSED:
		var reason := _socket.get_close_reason().split(";retry_after_ms=")
		var after := float(reason[1]) / 1000.0 if reason.size() > 1 else 0.0
		var code := _socket.get_close_code()
		_broken(code if code > 0 else 1006, reason[0] if reason[0] else "connection_lost", after)
	else:
		var quiet := _now() - _heard_at
		if quiet > (2.0 * SILENCE if _greeted else PATIENCE):
			_broken(1006, "no_answer", 0.0)
		elif quiet > SILENCE and not _pinged:
			_pinged = true
			_say({"type": "ping"})


func _connect() -> void:
	_asking = true
	var given: Variant = await ticket.call() if ticket.is_valid() else await _asked()
	_asking = false
	if _over():
		return
	if not given is String or given == "":
		_broken(1013, "no_ticket", 0.0)  # the game's own server is away: that passes
		return
	_socket = WebSocketPeer.new()
	_socket.supported_protocols = PackedStringArray(["wavegate.v1"])
	# What the gateway holds comes at once, and what has no room here is lost and asked for again.
	_socket.inbound_buffer_size = 1 << 24
	_socket.max_queued_packets = 8192
	_greeted = false
	_pinged = false
	_heard_at = _now()
	_socket.set_meta("ticket", given)
	if _socket.connect_to_url("ws" + server.trim_prefix("http").trim_suffix("/") + "/v1/ws") != OK:
		_broken(1006, "cannot_be_reached", 0.0)


## Asks the game's own server, which knows the player; "" if it does not answer.
func _asked() -> String:
	var request := HTTPRequest.new()
	request.timeout = PATIENCE
	add_child(request)
	var body := JSON.stringify({"stream_id": stream_id})
	var text := ""
	if request.request(ticket_url, ["Content-Type: application/json"], HTTPClient.METHOD_POST, body) == OK:
		var answer: Array = await request.request_completed
		text = (answer[3] as PackedByteArray).get_string_from_utf8()
	request.queue_free()
	var found: Variant = JSON.parse_string(text) if text else null
	return str(found.get("ticket", "")) if found is Dictionary else ""


func _read() -> void:
	if not _greeted and _socket.get_ready_state() == WebSocketPeer.STATE_OPEN:
		_greeted = true
		_say({"type": "session.authenticate", "ticket": _socket.get_meta("ticket")})
	while _socket != null and _socket.get_available_packet_count() > 0:
		var packet := _socket.get_packet()
		_heard_at = _now()
		_pinged = false
		if not _socket.was_string_packet():
			_take_frame(packet)
			continue
		var message: Variant = JSON.parse_string(packet.get_string_from_utf8())
		if message is Dictionary:
			_take(message)


func _say(message: Dictionary) -> void:
	if _socket.get_ready_state() == WebSocketPeer.STATE_OPEN:
		_socket.send_text(JSON.stringify(message))


func _take(message: Dictionary) -> void:
	match message["type"]:
		"session.created":
			var since: Variant = "start" if _epoch < 0 else {"epoch": _epoch, "seq": _next}
			var format := {"codec": "pcm", "sample_rate": _rate, "channels": channels}
			_say({"type": "stream.attach", "stream_id": stream_id, "since": since, "format": format})
		"stream.started":
			if int(message["epoch"]) != _epoch:
				_whole = _end < 0 and int(message["seq"]) == 0
				_epoch = int(message["epoch"])
				_next = int(message["seq"])
			_rendition = int(message["rendition"])
			state = "receiving"
		"stream.gap":  # the gateway says so itself: these frames will not come
			gaps += 1
			_whole = false
			_next = maxi(_next, int(message["to_seq"]))
		"stream.completed":
			if _whole:
				verified = _hash.finish().hex_encode() == message["sha256"]
			_finish("completed", "")
		"stream.failed":  # the song has ended early; what came is played
			_finish("failed", message["error"]["message"])
		"error":
			var error: Dictionary = message["error"]
			var code: int = CODES.get(error["code"], 1013 if error["retryable"] else 1008)
			var after: Variant = error.get("retry_after_ms")
			_broken(code, error["code"], 0.0 if after == null else float(after) / 1000.0)


func _take_frame(packet: PackedByteArray) -> void:
	if packet.size() < HEADER or packet[0] != 1 or packet[1] != 1 or _number(packet, 4, 4) != _rendition:
		return
	var pts := _number(packet, 8, 8)
	var seq := _number(packet, 16, 4)
	var duration := _number(packet, 20, 4)
	if seq < _next:
		doubles += 1
		return
	if seq > _next:
		_broken(LOST_ON_THE_WAY, "lost_on_the_way", 0.0)  # the next connection asks for it again
		return
	_next = seq + 1
	var sound := packet.slice(HEADER)
	if _whole:
		_hash.update(sound)
	var known := 0 if _end < 0 else clampi(_end - pts, 0, duration)
	if known > 0:  # another log of the same song: its frames are cut elsewhere
		doubles += 1
		sound = sound.slice(known * 2 * channels)
	_end = maxi(_end, pts + duration)
	frames += 1
	_attempts = 0
	seconds += float(duration - known) / _rate
	if not sound.is_empty():
		_queue.append(sound)
		_queued += sound.size()


## An unsigned number in network byte order.
func _number(packet: PackedByteArray, at: int, bytes: int) -> int:
	var number := 0
	for i in bytes:
		number = number << 8 | packet[at + i]
	return number


func _broken(code: int, slug: String, after: float) -> void:
	if _socket != null:
		_socket.close()
		_socket = null
	if code in FINAL or (code >= 4000 and code < 4100) or _attempts >= ATTEMPTS:
		_finish("failed", "%s (%d)" % [slug, code])
		return
	if code == POSITION_LOST:
		_epoch = -1  # what was heard already is known by its time
	state = "reconnecting"
	if _attempts > 0 or code < 4200 or code >= 4300:  # full jitter: thousands may come back at this moment
		after += randf() * minf(10.0, 0.25 * 2.0 ** _attempts)
	_attempts += 1
	reconnects += 1
	_retry_at = _now() + after


func _finish(how: String, why: String) -> void:
	if _socket != null:
		_socket.close()
		_socket = null
	state = how
	failure = why
