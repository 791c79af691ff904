"""From scan and network to picture: inference, canvas, phases, contrast, streaming."""
