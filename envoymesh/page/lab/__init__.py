"""The lab: whatever the page changes. Each file does one kind of thing; api.py has asked for the token before."""
