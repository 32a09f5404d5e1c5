"""Everything that is not ours: moto behind one queue, with a journal that survives kill -9."""
