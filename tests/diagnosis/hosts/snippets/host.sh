site=https://guestbook.example.com
