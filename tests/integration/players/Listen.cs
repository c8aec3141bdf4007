// Hears a song as Unity's audio thread would, in blocks of 1024 samples, and writes what it heard as s16le.
//
// Listen.exe SERVER STREAM TICKET_URL RATE CHANNELS FILE. With FILE `-` the component itself plays, through its own filter.
using System;
using System.Collections.Generic;
using System.IO;
using System.Net;
using System.Reflection;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Wavegate;

public static class Listen
{
    private const BindingFlags Inside = BindingFlags.Instance | BindingFlags.NonPublic;

    public static int Main(string[] given)
    {
        int rate = int.Parse(given[3]), channels = int.Parse(given[4]);
        Func<CancellationToken, Task<string>> ticket = async cancellation =>
        {
            using (var client = new WebClient())
            {
                string answer = await client.UploadStringTaskAsync(given[2], "{\"stream_id\":" + Json.Quote(given[1]) + "}");
                return (string)((Dictionary<string, object>)Json.Parse(answer))["ticket"];
            }
        };
        if (given[5] == "-") return Component(given, channels);
        var song = new WavegateStream(given[0], given[1], ticket, rate, channels, 0.5f, 0.71f); // a ring that turns often
        song.Start();
        var block = new float[1024 * channels];
        using (var file = new BinaryWriter(File.Create(given[5])))
            while (!song.Exhausted)
            {
                int got = song.Read(block, channels);
                for (int i = 0; i < got * channels; i++) file.Write((short)Math.Round(block[i] * 32768f));
                if (got == 0) Thread.Sleep(5);
            }
        return Report(song);
    }

    private static int Component(string[] given, int channels)
    {
        var source = new WavegateAudioSource { server = given[0], streamId = given[1], ticketUrl = given[2] };
        WavegateStream ended = null;
        source.Ended += song => ended = song;
        typeof(WavegateAudioSource).GetMethod("OnEnable", Inside).Invoke(source, null);
        var block = new float[1024 * channels];
        double loudest = 0;
        while (ended == null)
        {
            typeof(WavegateAudioSource).GetMethod("OnAudioFilterRead", Inside).Invoke(source, new object[] { block, channels });
            foreach (float sample in block) loudest = Math.Max(loudest, Math.Abs(sample));
            typeof(WavegateAudioSource).GetMethod("Update", Inside).Invoke(source, null);
            Thread.Sleep(1);
        }
        typeof(WavegateAudioSource).GetMethod("OnDisable", Inside).Invoke(source, null);
        Console.WriteLine("loudest " + loudest.ToString("0.000", System.Globalization.CultureInfo.InvariantCulture));
        return Report(ended);
    }

    private static int Report(WavegateStream song)
    {
        Console.WriteLine("{0} verified {1} sha256 {2} reconnects {3} gaps {4} doubles {5} {6}", song.State, song.Verified,
            song.Sha256, song.Reconnects, song.Gaps, song.Doubles, song.Failure);
        return song.State == StreamState.Completed ? 0 : 1;
    }
}
