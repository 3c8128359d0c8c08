is_healthy() {
    [ "$(status /)" = 200 ]
    ( site=http://ledger.example.com:8080; [ "$(status /)" = 200 ] )
}
