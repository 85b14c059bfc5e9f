"""DNS: names resolved to addresses with c-ares."""
