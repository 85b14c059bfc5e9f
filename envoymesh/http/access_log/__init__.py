"""Access logs: loggers (`logger.py`), the filters that choose what they write, and the reader of both (`config.py`)."""

from envoymesh.http.access_log.logger import DEFAULT_FORMAT, AccessLog, AccessLogFile, log_new_request, log_stream

__all__ = ["DEFAULT_FORMAT", "AccessLog", "AccessLogFile", "log_new_request", "log_stream"]
