"""Fan-out servers by others, each as its users would run it: what Wavegate is measured beside."""
