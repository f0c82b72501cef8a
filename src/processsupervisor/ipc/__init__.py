"""How processes talk: JSON lines over unix sockets, the exit journal, clients of the control socket."""
