restart_app() {
    guestbook-deploy
}
