"""Access logs: loggers (`logger.py`), the filters that choose what they write, and the reader of both (`config.py`)."""

from envoymesh.access_loggers.logger import DEFAULT_FORMAT, AccessLog, AccessLogFile, log_all

__all__ = ["DEFAULT_FORMAT", "AccessLog", "AccessLogFile", "log_all"]
