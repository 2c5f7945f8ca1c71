"""What is read off a network: moments, gradients and their rates by layer, saturation, dead units, and theory."""
