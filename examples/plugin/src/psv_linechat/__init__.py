"""What a package can add to ProcessSupervisor: a network, a responder, a store."""
