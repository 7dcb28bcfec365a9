"""What a server process needs: threads, sockets, systemd, metrics, logs and limits of outbound calls."""
