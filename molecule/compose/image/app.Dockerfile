# The user's own: it knows nothing of the collection.
FROM flaskworks-compose:python
COPY . /src
RUN pip install --quiet --no-build-isolation --no-deps /src
