from __future__ import annotations

import io
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from PIL import BmpImagePlugin, Image

from support import MakeApp, form, picture

JSON = {"Accept": "application/json"}


@pytest.fixture
def service_umask() -> Iterator[None]:
    """The umask that the systemd unit sets."""
    before = os.umask(0o027)
    yield
    os.umask(before)


def stored(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("kind", "extension"), [("PNG", "png"), ("JPEG", "jpg"), ("WEBP", "webp"), ("GIF", "gif")]
)
def test_picture_is_kept_byte_for_byte_under_a_name_of_our_own(
    client: FlaskClient, upload_folder: Path, kind: str, extension: str
) -> None:
    content = picture(kind)
    answer = client.post("/upload", data=form(("../../my cat.PhP", content)))
    assert (answer.status_code, answer.location) == (303, "/")

    original, thumbnail = stored(upload_folder)
    match = re.fullmatch(rf"originals/([0-9a-f]{{32}})\.{extension}", original)
    assert match
    assert thumbnail == f"thumbnails/{match[1]}.webp"
    assert (upload_folder / original).read_bytes() == content

    page = client.get("/").text
    assert f'href="/media/{original}"' in page
    assert f'src="/media/{thumbnail}" width="60" height="40"' in page


def test_many_pictures_at_once(client: FlaskClient, upload_folder: Path) -> None:
    files = [(f"{number}.png", picture(size=(10 + number, 10))) for number in range(5)]
    answer = client.post("/upload", data=form(*files), follow_redirects=True)
    assert "5 pictures added." in answer.text
    assert len(stored(upload_folder)) == 10


def test_newest_is_first_and_pages_follow(make_app: MakeApp, upload_folder: Path) -> None:
    client = make_app(PICTURES_PER_PAGE=2).test_client()
    for number in range(3):
        client.post("/upload", data=form(("a.png", picture(size=(10 + number, 10)))))
    for path in (upload_folder / "originals").iterdir():
        with Image.open(path) as image:
            os.utime(path, (image.width, image.width))

    first = client.get("/").text
    assert first.index('width="12"') < first.index('width="11"')
    assert 'width="10"' not in first
    assert 'width="10"' in client.get("/?page=2").text
    assert client.get("/?page=3").status_code == 404
    assert client.get("/?page=0").status_code == 404


def test_group_can_read_what_was_stored(
    client: FlaskClient, upload_folder: Path, service_umask: None
) -> None:
    upload_folder.chmod(0o2750)
    client.post("/upload", data=form(("a.png", picture())))
    for name in stored(upload_folder):
        path = upload_folder / name
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o2750


def test_phone_picture_stands_upright(client: FlaskClient, upload_folder: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # Orientation: turned by a quarter.
    client.post("/upload", data=form(("a.jpg", picture("JPEG", exif=exif))))
    assert 'width="40" height="60"' in client.get("/").text


def test_camera_picture_with_a_second_one_inside_is_a_jpeg(
    client: FlaskClient, upload_folder: Path
) -> None:
    second = Image.new("RGB", (60, 40), "#000")
    content = picture("MPO", save_all=True, append_images=[second])
    client.post("/upload", data=form(("a.jpg", content)))
    assert stored(upload_folder)[0].endswith(".jpg")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16"])
def test_every_mode_of_png_gets_a_thumbnail(
    client: FlaskClient, upload_folder: Path, mode: str
) -> None:
    output = io.BytesIO()
    Image.new(mode, (60, 40)).save(output, "PNG")
    client.post("/upload", data=form(("a.png", output.getvalue())))
    assert len(stored(upload_folder)) == 2


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<script>alert(1)</script>",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        picture("BMP"),
        picture("TIFF"),
        picture()[:-40],
        picture("JPEG", size=(400, 400))[:-400],
        b"\x89PNG\r\n\x1a\n" + b"\0" * 64,
    ],
    ids=["empty", "script", "svg", "bmp", "tiff", "cut png", "cut jpeg", "only a signature"],
)
def test_bad_file_is_refused_by_name_and_leaves_nothing(
    client: FlaskClient, upload_folder: Path, content: bytes
) -> None:
    answer = client.post("/upload", data=form(("holiday<1>.png", content)))
    assert answer.status_code == 400
    assert "<b>holiday&lt;1&gt;.png</b> is not a picture that can be read." in answer.text
    assert stored(upload_folder) == []


def test_other_formats_never_reach_their_decoders(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(BmpImagePlugin.BmpImageFile, "_open", lambda _: opened.append("BMP"))
    client.post("/upload", data=form(("a.png", picture("BMP"))))
    assert opened == []


def test_pixel_flood_is_refused_from_its_header(make_app: MakeApp, upload_folder: Path) -> None:
    client = make_app(MAX_IMAGE_PIXELS=1_000_000).test_client()
    answer = client.post("/upload", data=form(("a.png", picture(size=(1001, 1000)))))
    assert answer.status_code == 400
    assert "1001 by 1000 pixels" in answer.text
    assert stored(upload_folder) == []


def test_good_file_beside_a_bad_one_is_kept(client: FlaskClient, upload_folder: Path) -> None:
    answer = client.post("/upload", data=form(("a.png", picture()), ("b.png", b"no")))
    assert answer.status_code == 400
    assert "1 picture added." in answer.text
    assert "b.png" in answer.text
    assert len(stored(upload_folder)) == 2


def test_no_file_is_asked_for(client: FlaskClient) -> None:
    answer = client.post("/upload", data={})
    assert answer.status_code == 400
    assert "Choose at least one picture." in answer.text
    assert client.post("/upload", data={}, headers=JSON).get_json()["error"]


def test_too_large_a_request(make_app: MakeApp, upload_folder: Path) -> None:
    client = make_app(MAX_CONTENT_LENGTH=10_000).test_client()
    files = form(("a.png", b"\0" * 10_000))
    answer = client.post("/upload", data=files)
    assert answer.status_code == 413
    assert "Too much for one upload" in answer.text
    files = form(("a.png", b"\0" * 10_000))
    answer = client.post("/upload", data=files, headers=JSON)
    assert (answer.status_code, answer.mimetype) == (413, "application/json")
    assert stored(upload_folder) == []


def test_script_is_answered_in_json(client: FlaskClient) -> None:
    answer = client.post("/upload", data=form(("a.png", picture())), headers=JSON)
    assert (answer.status_code, answer.get_json()) == (201, {"stored": 1, "refused": []})
    answer = client.post("/upload", data=form(("b.png", b"no")), headers=JSON)
    assert answer.status_code == 400
    assert answer.get_json()["refused"][0]["name"] == "b.png"


def test_form_from_elsewhere_is_refused(make_app: MakeApp, upload_folder: Path) -> None:
    client = make_app(WTF_CSRF_ENABLED=True).test_client()
    answer = client.post("/upload", data=form(("a.png", picture())))
    assert answer.status_code == 400
    assert "This form has expired" in answer.text
    assert stored(upload_folder) == []

    token = re.search(r'name="csrf_token"[^>]* value="([^"]+)"', client.get("/upload").text)
    assert token
    data = {**form(("a.png", picture())), "csrf_token": token[1]}
    assert client.post("/upload", data=data).status_code == 303


def test_missing_upload_folder_is_not_made_and_not_an_empty_gallery(
    client: FlaskClient, upload_folder: Path
) -> None:
    upload_folder.rmdir()
    assert client.get("/").status_code == 503
    answer = client.post("/upload", data=form(("a.png", picture())))
    assert answer.status_code == 503
    assert "The store room is locked" in answer.text
    assert not upload_folder.exists()


def test_failed_write_leaves_nothing(
    client: FlaskClient, upload_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def disk_is_full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", disk_is_full)
    assert client.post("/upload", data=form(("a.png", picture()))).status_code == 503
    assert stored(upload_folder) == []


def test_foreign_files_are_not_listed(client: FlaskClient, upload_folder: Path) -> None:
    originals = upload_folder / "originals"
    originals.mkdir()
    for name in ("a.png", ".0" + "0" * 31 + ".png.part", "0" * 32 + ".html"):
        (originals / name).write_bytes(picture())
    assert "The walls are still bare." in client.get("/").text


def test_lost_thumbnail_does_not_take_the_page_with_it(
    client: FlaskClient, upload_folder: Path
) -> None:
    client.post("/upload", data=form(("a.png", picture())))
    original, thumbnail = stored(upload_folder)
    (upload_folder / thumbnail).unlink()
    answer = client.get("/")
    assert answer.status_code == 200
    assert original in answer.text


def test_unknown_page(client: FlaskClient) -> None:
    answer = client.get("/nothing")
    assert answer.status_code == 404
    assert "This wall is empty" in answer.text


def test_uploads_may_have_a_domain_of_their_own(make_app: MakeApp) -> None:
    client = make_app(MEDIA_ORIGIN="https://media.example.net").test_client()
    assert client.post("/upload", data=form(("a.png", picture()))).status_code == 303
    answer = client.get("/")
    assert 'href="https://media.example.net/media/originals/' in answer.text
    assert 'src="https://media.example.net/media/thumbnails/' in answer.text
    policy = answer.headers["Content-Security-Policy"]
    assert "img-src 'self' data: blob: https://media.example.net;" in policy


def test_pages_carry_a_content_security_policy(client: FlaskClient) -> None:
    for path in ("/", "/upload", "/about", "/nothing"):
        answer = client.get(path)
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
        assert "<style" not in answer.text
        assert " style=" not in answer.text
