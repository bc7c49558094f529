// peer does what a plain Go webhook for ModelBooster does, with the standard library only, and can
// put load on any webhook: what ours is measured against, on the same machine and the same corpus.
//
// It decodes the review and the whole object into structs, asks a few rules, and sends the review
// back with its answer in it; a mutation compares the object before and after by two encodings. It
// leaves out what a real one does besides: the many rules, quantities and durations as types of
// their own, a deep copy of the object before it is defaulted, the JSON Patch between the two,
// metrics and logs. So it is quicker than a real one, the more so the larger the object.
//
//	peer serve ADDRESS CERT KEY                     POST /validate/modelbooster, /mutate/modelbooster
//	peer load URL CA BODIES CONNECTIONS REQUESTS    sends BODIES (a JSON list) in turn; prints seconds and latencies
//	peer load-new URL CA BODIES CONNECTIONS REQUESTS    the same with a new connection for each request
package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"reflect"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

func main() {
	switch {
	case len(os.Args) == 5 && os.Args[1] == "serve":
		serve(os.Args[2], os.Args[3], os.Args[4])
	case len(os.Args) == 7 && strings.HasPrefix(os.Args[1], "load"):
		connections, err := strconv.Atoi(os.Args[5])
		must(err)
		requests, err := strconv.ParseInt(os.Args[6], 10, 64)
		must(err)
		load(os.Args[2], os.Args[3], os.Args[4], connections, requests, os.Args[1] == "load-new")
	default:
		fmt.Fprintln(os.Stderr, "usage: peer serve ADDRESS CERT KEY | peer load[-new] URL CA BODIES CONNECTIONS REQUESTS")
		os.Exit(2)
	}
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "peer:", err)
		os.Exit(1)
	}
}

func serve(address, cert, key string) {
	mux := http.NewServeMux()
	mux.HandleFunc("/validate/modelbooster", answer(validate))
	mux.HandleFunc("/mutate/modelbooster", answer(mutate))
	server := &http.Server{Addr: address, Handler: mux, TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){}}
	must(server.ListenAndServeTLS(cert, key))
}

func answer(decide func(*request) *response) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Header.Get("Content-Type") != "application/json" {
			http.Error(w, "not JSON", http.StatusBadRequest)
			return
		}
		var in review
		if err := json.Unmarshal(body, &in); err != nil || in.Request == nil {
			http.Error(w, "not an AdmissionReview", http.StatusBadRequest)
			return
		}
		in.Response = decide(in.Request)
		out, err := json.Marshal(in)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(out)
	}
}

func backends(s *spec) []backend {
	if s.Backend != nil {
		return []backend{*s.Backend}
	}
	return s.Backends
}

func validate(r *request) *response {
	var m modelBooster
	if err := json.Unmarshal(r.Object, &m); err != nil {
		return denied(r, err.Error())
	}
	var faults []string
	for i, b := range backends(&m.Spec) {
		at := fmt.Sprintf("spec.backends[%d]", i)
		if b.MinReplicas > b.MaxReplicas {
			faults = append(faults, at+".minReplicas: Invalid value: minReplicas cannot be greater than maxReplicas")
		}
		if b.Type == "vLLM" && len(b.Workers) != 1 {
			faults = append(faults, at+".workers: Invalid value: there must be exactly one worker")
		}
		for j, w := range b.Workers {
			if strings.Contains(w.Image, " ") {
				faults = append(faults, fmt.Sprintf("%s.workers[%d].image: Invalid value: image cannot contain spaces", at, j))
			}
		}
		seen := map[string]bool{}
		for _, a := range b.LoraAdapters {
			if a.Name == m.Metadata.Name || seen[a.Name] {
				faults = append(faults, at+".loraAdapters: Invalid value: lora name must be unique")
			}
			seen[a.Name] = true
		}
	}
	if faults != nil {
		return denied(r, "validation failed:\n  - "+strings.Join(faults, "\n  - "))
	}
	return &response{UID: r.UID, Allowed: true}
}

func denied(r *request, message string) *response {
	return &response{UID: r.UID, Status: map[string]any{"message": message}}
}

// mutate defaults nothing here, and finds that out as the peer does: by comparing two encodings.
func mutate(r *request) *response {
	var before modelBooster
	if json.Unmarshal(r.Object, &before) != nil {
		return &response{UID: r.UID, Allowed: true}
	}
	after := before
	var a, b any
	x, _ := json.Marshal(before)
	y, _ := json.Marshal(after)
	_ = json.Unmarshal(x, &a)
	_ = json.Unmarshal(y, &b)
	out := &response{UID: r.UID, Allowed: true, PatchType: "JSONPatch", Patch: []byte("[]")}
	if !reflect.DeepEqual(a, b) {
		out.Patch = []byte("null")
	}
	return out
}

func load(url, ca, corpus string, connections int, requests int64, anew bool) {
	pem, err := os.ReadFile(ca)
	must(err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	text, err := os.ReadFile(corpus)
	must(err)
	var bodies []json.RawMessage
	must(json.Unmarshal(text, &bodies))

	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: roots},
		MaxIdleConnsPerHost: connections,
		MaxConnsPerHost:     connections,
		DisableKeepAlives:   anew,
	}}
	var next, size, most int64 = -1, 0, 0
	times := make([]time.Duration, requests)
	var group sync.WaitGroup
	begin := time.Now()
	for range connections {
		group.Add(1)
		go func() {
			defer group.Done()
			for i := atomic.AddInt64(&next, 1); i < requests; i = atomic.AddInt64(&next, 1) {
				start := time.Now()
				reply, err := client.Post(url, "application/json", bytes.NewReader(bodies[int(i)%len(bodies)]))
				must(err)
				n, err := io.Copy(io.Discard, reply.Body)
				must(err)
				reply.Body.Close()
				if reply.StatusCode != http.StatusOK {
					must(fmt.Errorf("answer %d", reply.StatusCode))
				}
				atomic.AddInt64(&size, n)
				for seen := atomic.LoadInt64(&most); n > seen && !atomic.CompareAndSwapInt64(&most, seen, n); {
					seen = atomic.LoadInt64(&most)
				}
				times[i] = time.Since(start)
			}
		}()
	}
	group.Wait()
	seconds := time.Since(begin).Seconds()
	sort.Slice(times, func(i, j int) bool { return times[i] < times[j] })
	_ = json.NewEncoder(os.Stdout).Encode(map[string]float64{
		"seconds":          seconds,
		"p50_ms":           times[requests/2].Seconds() * 1000,
		"p99_ms":           times[requests*99/100].Seconds() * 1000,
		"reply_bytes":      float64(size) / float64(requests),
		"most_reply_bytes": float64(most),
	})
}
