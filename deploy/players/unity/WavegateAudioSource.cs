// Plays a song from Wavegate on an AudioSource in Unity, while the song is still being made.
//
// How to use it: copy the three .cs files of this folder into Assets/, add this component to an object, and fill in the
// server, the stream, and the address of YOUR server that gives out tickets (ticket_server.py in ../python is one).
// The tenant's key belongs on that server, never into the game. `Ticket` may be set by a script instead.
//
// The song is asked for in the rate that the mixer has, so nothing is resampled here. OnAudioFilterRead runs on the
// audio thread: it copies, it never waits and never allocates. Volume and pause are yours; for sound in 3D give the
// AudioSource a clip from AudioClip.Create(..., stream: true, data => song.Read(data, 2)) and take this filter away.
using System;
using System.Net;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using UnityEngine;

namespace Wavegate
{
    [RequireComponent(typeof(AudioSource))]
    public sealed class WavegateAudioSource : MonoBehaviour
    {
        public string server = "https://music.example";
        public string streamId = "";
        public string ticketUrl = "https://game.example/ticket";
        [Range(0f, 1f)] public float volume = 1f;
        [Tooltip("Seconds of sound to wait for before the song begins.")] public float lead = 0.5f;

        public Func<CancellationToken, Task<string>> Ticket;
        public event Action<WavegateStream> Ended; // on the main thread, once all of it was played

        private WavegateStream _song;
        private volatile bool _paused;

        public WavegateStream Song { get { return _song; } }
        public bool Paused { get { return _paused; } set { _paused = value; } }

        private void OnEnable()
        {
            _song = new WavegateStream(server, streamId, Ticket ?? Asked, AudioSettings.outputSampleRate, 2, lead);
            _song.Start();
            GetComponent<AudioSource>().Play(); // without a clip: it is the filter below that sounds
        }

        private void OnDisable()
        {
            WavegateStream song = _song;
            _song = null;
            if (song != null) song.Dispose();
        }

        private void Update()
        {
            WavegateStream song = _song;
            if (song == null || !song.Exhausted) return;
            _song = null;
            if (song.State == StreamState.Failed) Debug.LogWarning("Wavegate: " + song.Failure);
            if (Ended != null) Ended(song);
            song.Dispose();
        }

        private void OnAudioFilterRead(float[] data, int channels)
        {
            WavegateStream song = _song;
            if (song == null || _paused)
            {
                Array.Clear(data, 0, data.Length);
                return;
            }
            song.Read(data, channels);
            if (volume >= 1f) return;
            for (int i = 0; i < data.Length; i++) data[i] *= volume;
        }

        /// <summary>Asks the game's own server, which knows the player.</summary>
        private async Task<string> Asked(CancellationToken cancellation)
        {
            using (var client = new WebClient())
            using (cancellation.Register(client.CancelAsync))
            {
                client.Headers[HttpRequestHeader.ContentType] = "application/json";
                byte[] body = Encoding.UTF8.GetBytes("{\"stream_id\":" + Json.Quote(streamId) + "}");
                byte[] answer = await client.UploadDataTaskAsync(ticketUrl, body).ConfigureAwait(false);
                var found = (System.Collections.Generic.Dictionary<string, object>)Json.Parse(Encoding.UTF8.GetString(answer));
                return (string)found["ticket"];
            }
        }
    }
}
