"""What is on disk: model files, arrays, and how they get there whole or not at all."""
