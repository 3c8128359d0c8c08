site=http://example.com
