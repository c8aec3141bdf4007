// Just enough JSON for wavegate.v1: objects, arrays, strings, numbers, true, false, null. Copy it with WavegateStream.cs.
//
// Unity's JsonUtility knows no unknown fields' values and no engine-free code may call it; this reads any message.
using System;
using System.Collections.Generic;
using System.Globalization;
using System.Text;

namespace Wavegate
{
    /// <summary>A JSON value: Dictionary, List, string, double, bool or null.</summary>
    public static class Json
    {
        private const int Deepest = 64;

        /// <summary>Throws FormatException for what is not JSON.</summary>
        public static object Parse(string text)
        {
            int at = 0;
            object value = Value(text, ref at, 0);
            Blank(text, ref at);
            if (at != text.Length) throw new FormatException("Something follows the JSON document.");
            return value;
        }

        /// <summary>The text as a JSON string, in quotes.</summary>
        public static string Quote(string text)
        {
            var quoted = new StringBuilder("\"");
            foreach (char c in text)
            {
                if (c == '"' || c == '\\') quoted.Append('\\').Append(c);
                else if (c < ' ') quoted.Append("\\u").Append(((int)c).ToString("x4", CultureInfo.InvariantCulture));
                else quoted.Append(c);
            }
            return quoted.Append('"').ToString();
        }

        private static object Value(string text, ref int at, int depth)
        {
            if (depth > Deepest) throw new FormatException("The JSON document is too deep.");
            Blank(text, ref at);
            switch (Peek(text, at))
            {
                case '{':
                    var map = new Dictionary<string, object>();
                    at++;
                    for (Blank(text, ref at); Peek(text, at) != '}'; Comma(text, ref at, '}'))
                    {
                        Blank(text, ref at);
                        string name = Text(text, ref at);
                        Blank(text, ref at);
                        Expect(text, ref at, ":");
                        map[name] = Value(text, ref at, depth + 1);
                    }
                    at++;
                    return map;
                case '[':
                    var list = new List<object>();
                    at++;
                    for (Blank(text, ref at); Peek(text, at) != ']'; Comma(text, ref at, ']'))
                        list.Add(Value(text, ref at, depth + 1));
                    at++;
                    return list;
                case '"': return Text(text, ref at);
                case 't': Expect(text, ref at, "true"); return true;
                case 'f': Expect(text, ref at, "false"); return false;
                case 'n': Expect(text, ref at, "null"); return null;
                default:
                    int from = at;
                    while (at < text.Length && "+-.eE0123456789".IndexOf(text[at]) >= 0) at++;
                    return double.Parse(text.Substring(from, at - from), NumberStyles.Float, CultureInfo.InvariantCulture);
            }
        }

        private static string Text(string text, ref int at)
        {
            Expect(text, ref at, "\"");
            var read = new StringBuilder();
            for (; Peek(text, at) != '"'; at++)
            {
                if (text[at] != '\\') { read.Append(text[at]); continue; }
                at++;
                char c = Peek(text, at);
                int known = "bfnrt".IndexOf(c);
                if (c == 'u')
                {
                    if (at + 4 >= text.Length) throw new FormatException("The JSON document ends too early.");
                    read.Append((char)ushort.Parse(text.Substring(at + 1, 4), NumberStyles.HexNumber, CultureInfo.InvariantCulture));
                    at += 4;
                }
                else read.Append(known < 0 ? c : "\b\f\n\r\t"[known]);
            }
            at++;
            return read.ToString();
        }

        private static char Peek(string text, int at)
        {
            if (at >= text.Length) throw new FormatException("The JSON document ends too early.");
            return text[at];
        }

        private static void Blank(string text, ref int at)
        {
            while (at < text.Length && " \t\r\n".IndexOf(text[at]) >= 0) at++;
        }

        private static void Expect(string text, ref int at, string word)
        {
            if (string.CompareOrdinal(text, at, word, 0, word.Length) != 0) throw new FormatException("This is not JSON.");
            at += word.Length;
        }

        private static void Comma(string text, ref int at, char end)
        {
            Blank(text, ref at);
            if (Peek(text, at) == end) return;
            Expect(text, ref at, ",");
            Blank(text, ref at);
            if (Peek(text, at) == end) throw new FormatException("This is not JSON.");
        }
    }
}
