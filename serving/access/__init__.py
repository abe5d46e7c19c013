"""Who asks a server, what they may read, and how much: keys, tokens, teams and limits."""
