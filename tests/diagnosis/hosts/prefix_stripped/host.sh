site=http://example.com
app=/guestbook/
