restart_nginx() {
    /etc/init.d/nginx restart
}

restart_app() {
    /etc/init.d/guestbook restart
}
