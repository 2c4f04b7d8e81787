# The Go version is go.mod's; a test compares them.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -o /out/auscult ./cmd/auscult

# Alpine rather than nothing: the health checks need wget, TLS the system's roots.
FROM alpine:3.22
COPY --from=build /out/auscult /usr/local/bin/auscult
# A named volume that is mounted here for the first time takes over the owner.
RUN adduser -D -H -u 10001 auscult && mkdir /var/lib/auscult && chown auscult /var/lib/auscult
USER auscult
ENTRYPOINT ["auscult"]
