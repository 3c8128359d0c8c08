app=/guestbook/
