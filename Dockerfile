# docker build -t ra . && docker run --rm -p 8084:8084 -p 8085:8085 ra
# By itself it is a lab, the target of a client's tests (docs/testing.md): whoever reaches
# port 8085 sees its account, orders faults and resets it.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# The lab keeps its state in a new temporary folder; scratch has none.
RUN CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o /out/ra ./cmd/ra \
 && mkdir -m 1777 /out/tmp && install -d -o 65532 -g 65532 -m 0700 /out/data

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/ra /ra
COPY --from=build /out/tmp /tmp
COPY --from=build --chown=65532:65532 /out/data /data
USER 65532:65532
WORKDIR /data
EXPOSE 8084 8085
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["/ra", "check", "--self"]
ENTRYPOINT ["/ra"]
CMD ["lab", "--est", "0.0.0.0:8084", "--admin", "0.0.0.0:8085", "--open-admin", "--any-host"]
