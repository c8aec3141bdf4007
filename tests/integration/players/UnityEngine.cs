// As much of UnityEngine as WavegateAudioSource.cs names: enough to compile it, nothing plays.
using System;

namespace UnityEngine
{
    public class Component { public T GetComponent<T>() where T : Component, new() { return new T(); } }
    public class MonoBehaviour : Component { }
    public sealed class AudioSource : Component { public void Play() { } }
    public static class AudioSettings { public static int outputSampleRate { get { return 48000; } } }
    public static class Debug { public static void LogWarning(object message) { Console.Error.WriteLine(message); } }
    [AttributeUsage(AttributeTargets.Class)] public sealed class RequireComponent : Attribute { public RequireComponent(Type type) { } }
    [AttributeUsage(AttributeTargets.Field)] public sealed class RangeAttribute : Attribute { public RangeAttribute(float min, float max) { } }
    [AttributeUsage(AttributeTargets.Field)] public sealed class TooltipAttribute : Attribute { public TooltipAttribute(string text) { } }
}
