"""ProcessSupervisor: a supervisor and runtime for fleets of chat bots."""
