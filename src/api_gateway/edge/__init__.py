"""The front, towards clients: listeners, HTTP/1.1 and HTTP/2 connections, and every HTTP answer."""
