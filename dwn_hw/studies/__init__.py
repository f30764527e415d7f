"""Many designs of one table: a space of settings, trials that several processes share, and the front of what was found."""
