"""The loop: time, timers, long work in slices, and what to do when the system has nothing left."""
