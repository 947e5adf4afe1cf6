"""The playground at ``/ui``: one page that asks the five questions, and what it needs beside their answers."""
