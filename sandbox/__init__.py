"""Development sandbox: a separate process that speaks the remote services' real protocols on this machine."""
