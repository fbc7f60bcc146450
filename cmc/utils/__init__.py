"""What any room may use: files written whole, files read with care, signals, memory, random numbers, progress."""
