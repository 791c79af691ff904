"""From scan and network to object: inference, canvas, phases, contrast, streaming."""
