# What breaks and proofs use. Each call returns when its effect is there: it waits for processes, not for time.

# change FILE SED…: one edit of a file, which has to be one.
change() {
    file=$1; shift
    cp -p "$file" /tmp/before
    sed -i --follow-symlinks -E "$@" "$file"
    if cmp -s "$file" /tmp/before; then
        echo "sed $* changes nothing in $file" >&2
        return 1
    fi
    rm /tmp/before
}

# Old workers end after new ones listen (https://nginx.org/en/docs/control.html).
reload_nginx() {
    old=$(pgrep -P "$(cat /run/nginx.pid)")
    nginx -t -q
    nginx -s reload
    for pid in $old; do tail -s 0.02 --pid="$pid" -f /dev/null; done
}

restart_nginx() {
    systemctl restart nginx
}

# Gunicorn says that it is ready before its workers have loaded the app; a request waits for them.
restart_app() {
    systemctl daemon-reload
    systemctl restart guestbook
    status "${app:-/}" > /dev/null
}

# What is asked of a healthy host before anything is done to it
is_healthy() {
    [ "$(status "${app:-/}")" = 200 ]
}

# fetch URL_PATH CURL_ARGUMENTS…: status line, headers and body, as a visitor gets them.
fetch() {
    path=$1; shift
    curl --silent --show-error --path-as-is --include --insecure --max-time 10 \
        --connect-to "::127.0.0.1:" "$@" "${site:-http://guestbook.example.com}$path"
}

status() {
    fetch "$@" --output /dev/null --write-out '%{http_code}'
}

# header NAME URL_PATH CURL_ARGUMENTS…: the value of a response's header.
header() {
    name=$1; shift
    fetch "$@" --output /dev/null --dump-header - | tr -d '\r' | sed -n "s/^$name: //Ip"
}

# Loop devices are this machine's; the container has no names for them, and mount(8) takes a free one.
use_loop_devices() {
    [ -e /dev/loop-control ] || mknod /dev/loop-control c 10 237
    for number in $(seq 0 63); do
        [ -e "/dev/loop$number" ] || mknod "/dev/loop$number" b 7 "$number"
    done
}
