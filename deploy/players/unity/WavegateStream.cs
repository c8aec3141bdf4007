// A song from Wavegate as PCM for a game in C#: a task that listens, and a ring that the audio thread reads.
//
// How to use it (.NET Standard 2.0 and C# 7, no engine; needs WavegateJson.cs):
//
//     var song = new WavegateStream("https://music.example", streamId, ticket, AudioSettings.outputSampleRate, 2);
//     song.Start();
//     int got = song.Read(data, channels);     // on the audio thread: never waits, never allocates, fills up with silence
//
// `ticket` is called for every connection, on a thread of the pool; a game never holds the tenant's key. A broken
// connection is taken up again where it broke: every sample comes once and in order. The ring is bounded: when it is
// full the socket is not read, and the gateway keeps the place. One thread reads, one task writes, nothing is locked.
// Not for WebGL, which has neither threads nor ClientWebSocket: there the browser's SDK (/wavegate.js) plays.
using System;
using System.Collections.Generic;
using System.IO;
using System.Net.WebSockets;
using System.Security.Cryptography;
using System.Text;
using System.Threading;
using System.Threading.Tasks;

namespace Wavegate
{
    public enum StreamState { Waiting, Receiving, Reconnecting, Completed, Failed, Closed }

    /// <summary>A connection is over: a WebSocket close code, a word that says why, and when to come back.</summary>
    public sealed class EndedException : Exception
    {
        public readonly int Code;
        public readonly string Slug;
        public readonly int RetryAfterMs;

        public EndedException(int code, string slug, int retryAfterMs = 0) : base(slug + " (" + code + ")")
        {
            Code = code;
            Slug = slug;
            RetryAfterMs = retryAfterMs;
        }

        /// <summary>Coming back would not help.</summary>
        public bool Final
        {
            get { return (Code >= 4000 && Code < 4100) || Array.IndexOf(FinalCodes, Code) >= 0; }
        }

        private static readonly int[] FinalCodes = { 1000, 1002, 1003, 1007, 1008, 1009, 1010 };
    }

    public sealed class WavegateStream : IDisposable
    {
        private const int HeaderBytes = 24;
        private const int SilenceMs = 20000;       // longest silence before the gateway is asked whether it is there
        private const int Attempts = 10;           // connections in a row that brought no sound
        private const int PositionLost = 4203;
        private const int LostOnTheWay = 4900;     // our own: a frame did not reach us, although the gateway sent it
        private const int MostBytes = 16 << 20;    // no message is as long as this
        private const float LongestLead = 2.5f;

        private readonly Uri _url;
        private readonly string _streamId;
        private readonly Func<CancellationToken, Task<string>> _ticket;
        private readonly CancellationTokenSource _closed = new CancellationTokenSource();
        private readonly Random _random = new Random();

        // The ring: samples of all channels, interleaved. Only the writer moves _written, only the reader _read.
        private readonly float[] _ring;
        private long _written, _read;
        private readonly float _longestLead;       // what the ring cannot hold is not waited for
        private float _lead;
        private bool _flowing;

        private byte[] _message = new byte[1 << 16];
        private int _length;
        private int _epoch = -1;
        private long _next;                        // seq of the first frame that has not come
        private long _rendition = -1;
        private long _end = -1;                    // samples of the song heard so far, by its own clock
        private bool _whole = true;
        private readonly IncrementalHash _hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        private volatile StreamState _state;

        public readonly int SampleRate, Channels;

        public WavegateStream(string server, string streamId, Func<CancellationToken, Task<string>> ticket,
            int sampleRate, int channels, float lead = 0.5f, float ringSeconds = 5f)
        {
            _url = new Uri("ws" + server.TrimEnd('/').Substring(4) + "/v1/ws");
            _streamId = streamId;
            _ticket = ticket;
            SampleRate = sampleRate;
            Channels = channels;
            _longestLead = Math.Min(LongestLead, ringSeconds / 2);
            _lead = Math.Min(lead, _longestLead);
            _ring = new float[(int)(ringSeconds * sampleRate) * channels];
        }

        public StreamState State { get { return _state; } }
        public string Failure { get; private set; }
        /// <summary>Whether every byte came and hashes to what the gateway announced; null if not all was heard.</summary>
        public bool? Verified { get; private set; }
        public string Sha256 { get; private set; }
        public int Frames { get; private set; }
        public int Doubles { get; private set; }
        public int Gaps { get; private set; }
        public int Reconnects { get; private set; }
        public int Underruns { get; private set; }
        public bool Over { get { return _state >= StreamState.Completed; } }
        /// <summary>Nothing more will come, and everything has been read.</summary>
        public bool Exhausted { get { return Over && Held == 0; } }
        /// <summary>Seconds of sound in the ring.</summary>
        public float Buffered { get { return (float)Held / Channels / SampleRate; } }

        private int Held { get { return (int)(Volatile.Read(ref _written) - Volatile.Read(ref _read)); } }

        public void Start()
        {
            Task.Run(Run); // never on Unity's main thread, however long a frame takes
        }

        public void Dispose()
        {
            _closed.Cancel();
        }

        // -- the audio thread's side ---------------------------------------------------------------------------------

        /// <summary>Fills `data`, interleaved for `channels`; the rest is silence. Returns samples a channel that are song.</summary>
        public int Read(float[] data, int channels)
        {
            bool over = Over; // first: what was held when the song was over is all there is
            int wanted = data.Length / channels, held = Held / Channels;
            if (!_flowing) _flowing = held > 0 && (over || held >= _lead * SampleRate);
            if (_flowing && held < Math.Min(wanted, _ring.Length / Channels / 2) && !over) // ran dry: fill up again, further than before
            {
                Underruns++;
                _lead = Math.Min(2 * _lead, _longestLead);
                _flowing = false;
            }
            int count = _flowing ? Math.Min(wanted, held) : 0;
            long read = _read;
            int at = (int)(read % _ring.Length);
            for (int i = 0, o = 0; i < count; i++)
            {
                float left = _ring[at], right = Channels > 1 ? _ring[at + 1] : left;
                at += Channels;
                if (at == _ring.Length) at = 0;
                if (channels == 1) data[o++] = Channels > 1 ? (left + right) / 2 : left;
                else
                {
                    data[o] = left;
                    data[o + 1] = right;
                    for (int c = 2; c < channels; c++) data[o + c] = 0f;
                    o += channels;
                }
            }
            Array.Clear(data, count * channels, data.Length - count * channels);
            Volatile.Write(ref _read, read + (long)count * Channels);
            return count;
        }

        // -- the network's side --------------------------------------------------------------------------------------

        private async Task Run()
        {
            int attempts = 0;
            while (!_closed.IsCancellationRequested)
            {
                int frames = Frames;
                EndedException ended;
                try
                {
                    await Listen().ConfigureAwait(false);
                    return;
                }
                catch (EndedException e) { ended = e; }
                catch (OperationCanceledException) { continue; }
                catch (Exception e) when (e is WebSocketException || e is IOException)
                {
                    ended = new EndedException(1006, "connection_lost: " + e.Message);
                }
                catch (Exception e) // a bug must not leave the game waiting for ever
                {
                    Finish(StreamState.Failed, e.ToString());
                    return;
                }
                if (_closed.IsCancellationRequested) continue;
                if (Frames > frames) attempts = 0;
                if (ended.Final || attempts >= Attempts)
                {
                    Finish(StreamState.Failed, ended.Message);
                    return;
                }
                if (ended.Code == PositionLost) _epoch = -1; // what was heard already is known by its time
                _state = StreamState.Reconnecting;
                double wait = ended.RetryAfterMs;
                if (attempts > 0 || ended.Code < 4200 || ended.Code >= 4300) // full jitter: thousands may come back now
                    wait += _random.NextDouble() * Math.Min(10000, 250 * Math.Pow(2, attempts));
                attempts++;
                try { await Task.Delay((int)wait, _closed.Token).ConfigureAwait(false); }
                catch (OperationCanceledException) { continue; }
                Reconnects++;
            }
            Finish(StreamState.Closed, null);
        }

        /// <summary>One connection; returns when the song is over.</summary>
        private async Task Listen()
        {
            string ticket;
            try { ticket = await _ticket(_closed.Token).ConfigureAwait(false); }
            catch (Exception e) when (!(e is OperationCanceledException)) // the game's own server is away: that passes
            {
                throw new EndedException(1013, "no ticket: " + e.Message);
            }
            using (var socket = new ClientWebSocket())
            {
                socket.Options.AddSubProtocol("wavegate.v1");
                await socket.ConnectAsync(_url, _closed.Token).ConfigureAwait(false);
                await Say(socket, "{\"type\":\"session.authenticate\",\"ticket\":" + Json.Quote(ticket) + "}").ConfigureAwait(false);
                while (!Over)
                {
                    WebSocketMessageType kind = await Receive(socket).ConfigureAwait(false);
                    if (kind == WebSocketMessageType.Binary) await TakeFrame().ConfigureAwait(false);
                    else await Take(socket, (Dictionary<string, object>)Json.Parse(Encoding.UTF8.GetString(_message, 0, _length))).ConfigureAwait(false);
                }
                using (var patience = new CancellationTokenSource(1000))
                {
                    try { await socket.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, "", patience.Token).ConfigureAwait(false); }
                    catch (Exception) { } // the song is over: nobody minds
                }
            }
        }

        private Task Say(ClientWebSocket socket, string text)
        {
            var bytes = new ArraySegment<byte>(Encoding.UTF8.GetBytes(text));
            return socket.SendAsync(bytes, WebSocketMessageType.Text, true, _closed.Token);
        }

        /// <summary>A whole message into _message.</summary>
        private async Task<WebSocketMessageType> Receive(ClientWebSocket socket)
        {
            _length = 0;
            while (true)
            {
                if (_length == _message.Length) Array.Resize(ref _message, 2 * _length);
                if (_length > MostBytes) throw new EndedException(1009, "message_too_big");
                var room = new ArraySegment<byte>(_message, _length, _message.Length - _length);
                Task<WebSocketReceiveResult> receiving = socket.ReceiveAsync(room, _closed.Token);
                for (bool asked = false; !receiving.IsCompleted; asked = true)
                {
                    if (await Task.WhenAny(receiving, Task.Delay(SilenceMs)).ConfigureAwait(false) == receiving) break;
                    if (asked) throw new EndedException(1006, "no_answer");
                    await Say(socket, "{\"type\":\"ping\"}").ConfigureAwait(false);
                }
                WebSocketReceiveResult result = await receiving.ConfigureAwait(false);
                if (result.MessageType == WebSocketMessageType.Close) throw Closing(socket);
                _length += result.Count;
                if (result.EndOfMessage) return result.MessageType;
            }
        }

        private static EndedException Closing(ClientWebSocket socket)
        {
            string reason = socket.CloseStatusDescription ?? "";
            int cut = reason.IndexOf(";retry_after_ms=", StringComparison.Ordinal);
            int after = 0;
            if (cut >= 0) int.TryParse(reason.Substring(cut + 16), out after);
            return new EndedException((int)(socket.CloseStatus ?? (WebSocketCloseStatus)1006), cut < 0 ? reason : reason.Substring(0, cut), after);
        }

        private async Task Take(ClientWebSocket socket, Dictionary<string, object> message)
        {
            switch ((string)message["type"])
            {
                case "session.created":
                    string since = _epoch < 0 ? "\"start\"" : "{\"epoch\":" + _epoch + ",\"seq\":" + _next + "}";
                    await Say(socket, "{\"type\":\"stream.attach\",\"stream_id\":" + Json.Quote(_streamId) + ",\"since\":" + since
                        + ",\"format\":{\"codec\":\"pcm\",\"sample_rate\":" + SampleRate + ",\"channels\":" + Channels + "}}").ConfigureAwait(false);
                    break;
                case "stream.started":
                    int epoch = (int)(double)message["epoch"];
                    long seq = (long)(double)message["seq"];
                    if (epoch != _epoch)
                    {
                        _whole = _end < 0 && seq == 0;
                        _epoch = epoch;
                        _next = seq;
                    }
                    _rendition = (long)(double)message["rendition"];
                    _state = StreamState.Receiving;
                    break;
                case "stream.gap": // the gateway says so itself: these frames will not come
                    Gaps++;
                    _whole = false;
                    _next = Math.Max(_next, (long)(double)message["to_seq"]);
                    break;
                case "stream.completed":
                    Sha256 = BitConverter.ToString(_hash.GetHashAndReset()).Replace("-", "").ToLowerInvariant();
                    if (_whole) Verified = Sha256 == (string)message["sha256"];
                    Finish(StreamState.Completed, null);
                    break;
                case "stream.failed": // the song has ended early; what came may be played
                    Finish(StreamState.Failed, (string)((Dictionary<string, object>)message["error"])["message"]);
                    break;
                case "error":
                    var error = (Dictionary<string, object>)message["error"];
                    string code = (string)error["code"];
                    int close = (bool)error["retryable"] ? 1013 : 1008;
                    if (code == "position_lost") close = PositionLost;
                    else if (code == "credentials_expired") close = 4201;
                    else if (code == "quota_exceeded") close = 4008;
                    object after;
                    error.TryGetValue("retry_after_ms", out after);
                    throw new EndedException(close, code, after == null ? 0 : (int)(double)after);
            }
        }

        private async Task TakeFrame()
        {
            if (_length < HeaderBytes || _message[0] != 1 || _message[1] != 1 || Number(4, 4) != _rendition) return;
            long pts = Number(8, 8), seq = Number(16, 4), duration = Number(20, 4);
            if (seq < _next)
            {
                Doubles++;
                return;
            }
            if (seq > _next) throw new EndedException(LostOnTheWay, "lost_on_the_way"); // the next connection asks again
            _next = seq + 1;
            long known = _end < 0 ? 0 : Math.Min(Math.Max(_end - pts, 0), duration);
            if (known > 0) Doubles++; // another log of the same song: its frames are cut elsewhere
            if (_whole) _hash.AppendData(_message, HeaderBytes, _length - HeaderBytes);
            _end = Math.Max(_end, pts + duration);
            Frames++;
            int from = HeaderBytes + (int)known * 2 * Channels;
            while (from < _length)
            {
                int room = _ring.Length - Held;
                if (room == 0) // the ring is full: the socket waits, and behind it the gateway
                {
                    await Task.Delay(10, _closed.Token).ConfigureAwait(false);
                    continue;
                }
                long written = _written;
                int count = Math.Min(room, (_length - from) / 2);
                for (int i = 0; i < count; i++, from += 2)
                    _ring[(int)((written + i) % _ring.Length)] = (short)(_message[from] | _message[from + 1] << 8) / 32768f;
                Volatile.Write(ref _written, written + count);
            }
        }

        private long Number(int at, int bytes)
        {
            long number = 0;
            for (int i = 0; i < bytes; i++) number = number << 8 | _message[at + i];
            return number;
        }

        private void Finish(StreamState state, string failure)
        {
            Failure = failure;
            _state = state;
        }
    }
}
