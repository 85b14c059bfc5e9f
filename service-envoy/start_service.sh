#!/bin/bash
# The life of a service's container: the app and its sidecar, together or not at all.
# Asked to stop, the sidecar drains first and the app goes last, so that no request in flight loses its app.

python /code/service.py --host 127.0.0.1 --port 8080 &
app=$!
envoymesh proxy -c /etc/service-envoy.yaml --service-cluster "service${SERVICE_NAME}" --concurrency 1 --drain-time-s 3 &
sidecar=$!

stop() {
  trap '' TERM INT
  kill -TERM "$sidecar" 2>/dev/null
  wait "$sidecar"
  kill -TERM "$app" 2>/dev/null
  wait "$app"
}

trap 'stop; exit 0' TERM INT
wait -n "$app" "$sidecar"
status=$?
echo "start_service.sh: the app or the sidecar has ended with status $status; stopping the container" >&2
stop
# Whatever the status was, that one of the two is gone is a failure of the container.
exit "$((status == 0 ? 1 : status))"
