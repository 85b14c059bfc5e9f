"""This process's own node message, as /server_info and /config_dump show it."""
