server {
    listen 80;
    server_name guestbook.example.com;
    return 301 https://$host$request_uri;
}

server {
    listen 443 ssl;
    server_name guestbook.example.com;
    ssl_certificate /etc/nginx/tls/guestbook.crt;
    ssl_certificate_key /etc/nginx/tls/guestbook.key;

    client_max_body_size 11m;
    include snippets/security-headers.conf;

    include snippets/flask-static.conf;
    include snippets/flask-media.conf;

    location / {
        include snippets/flask-proxy.conf;
    }
}
