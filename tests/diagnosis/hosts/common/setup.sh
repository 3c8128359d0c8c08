# What hosts begin with; each then differs as hosts of different people do. Read by setup scripts.

# put_app DIRECTORY: the app's code and a virtualenv beside it, root's, readable to all.
put_app() {
    install -d "$1"
    cp -r /opt/diagnosis/app/. "$1"
    chmod -R u=rwX,go=rX "$1"
    python3 -m venv --without-pip --system-site-packages "$(dirname "$1")/venv"
    for program in gunicorn flask; do
        sed "1s|.*|#!$(dirname "$1")/venv/bin/python|" "/usr/bin/$program" > "$(dirname "$1")/venv/bin/$program"
        chmod 755 "$(dirname "$1")/venv/bin/$program"
    done
}

# put_uploads DIRECTORY USER GROUP MODE: what visitors sent, of every kind.
put_uploads() {
    printf '\211PNG\r\n\032\n' > "$1/cat.png"
    printf '%%PDF-1.4\n' > "$1/paper.pdf"
    echo 'Hello' > "$1/note.txt"
    echo '<script>alert(document.domain)</script>' > "$1/page.html"
    echo '<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>' > "$1/drawing.svg"
    install -d "$1/2026"
    echo 'Hello again' > "$1/2026/note.txt"
    chown -R "$2:$3" "$1"/*
    chmod "$4" "$1"/*.* "$1"/2026/*
    chmod --reference="$1" "$1/2026"
}
