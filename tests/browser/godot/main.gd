# The scene of the test: for each song that it is given a WavegatePlayer on a bus of its own, and an ear on that bus.
# What was heard and how it ended is left in the page as `reports`, once all have ended.
extends Node

var players: Array[Node] = []
var ears: Array[AudioEffectCapture] = []
var heard: Array[PackedByteArray] = []
var running := 0


func _ready() -> void:
	var songs: Array = JSON.parse_string(OS.get_cmdline_user_args()[0])
	for song: Dictionary in songs:
		var bus := "song %d" % players.size()
		AudioServer.add_bus()
		AudioServer.set_bus_name(AudioServer.bus_count - 1, bus)
		var ear := AudioEffectCapture.new()
		ear.buffer_length = 10.0
		AudioServer.add_bus_effect(AudioServer.bus_count - 1, ear)
		var player: Node = (load("res://wavegate_player.gd") as GDScript).new()
		for name: String in song:
			player.set(name, song[name])
		player.set("bus", bus)
		player.connect("ended", _on_ended)
		running += 1
		players.append(player)
		ears.append(ear)
		heard.append(PackedByteArray())
		add_child(player)


func _process(_delta: float) -> void:
	for which in ears.size():
		var block := ears[which].get_buffer(ears[which].get_frames_available())
		var at := heard[which].size()
		heard[which].resize(at + 4 * block.size())
		for frame in block:
			heard[which].encode_s16(at, clampi(roundi(frame.x * 32768.0), -32768, 32767))
			heard[which].encode_s16(at + 2, clampi(roundi(frame.y * 32768.0), -32768, 32767))
			at += 4


func _on_ended(_state: String, _failure: String) -> void:
	running -= 1
	if running > 0:
		return
	# The bus has what the player gave it one buffer later.
	for i in 10:
		await get_tree().process_frame
	var reports := []
	for which in players.size():
		var player := players[which]
		var report := {"heard": Marshalls.raw_to_base64(heard[which])}
		for name: String in ["state", "failure", "verified", "reconnects", "gaps", "doubles", "underruns"]:
			report[name] = player.get(name)
		reports.append(report)
	JavaScriptBridge.get_interface("window").reports = JSON.stringify(reports)
