package recordings

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"testing"
	"time"

	"offrecord/web/platform/upstream"
	"offrecord/web/secret"
)

const benchRecords = 10_000

// archiveOf serves so many records, page by page, from memory: what is measured is the asking and the reading.
func archiveOf(b *testing.B, f Format, n int) *url.URL {
	b.Helper()
	pages := map[string][]byte{}
	for first := 1; first <= n+1; first += PageSize {
		var page bytes.Buffer
		w := NewWriter(&page, f, Files)
		for i := first; i < first+PageSize && i <= n; i++ {
			r := theFile
			r.Start, r.Filename, r.TransactionID = r.Start.Add(time.Duration(i)*time.Minute), fmt.Sprintf("S20071220/R20071220031636%05d.wav", i), strconv.Itoa(i)
			w.Recording(r)
		}
		w.Close()
		pages[strconv.Itoa(first)] = page.Bytes()
	}
	pages[""] = pages["1"]
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(pages[r.URL.Query().Get("n")]) }))
	b.Cleanup(srv.Close)
	at, err := url.Parse(srv.URL)
	if err != nil {
		b.Fatal(err)
	}
	return at
}

// byHand reads the same pages as one would without this package: the standard library's client and decoders, into structs that
// fit the well-formed pages exactly.
type byHand struct {
	StartDate     string `xml:"startDate" json:"startDate"`
	AgentID       string `xml:"agentID" json:"agentID"`
	PhoneNumber   string `xml:"phoneNumber" json:"phoneNumber"`
	Channel       string `xml:"channel" json:"channel"`
	CaseID        string `xml:"caseID" json:"caseID"`
	Duration      string `xml:"duration" json:"duration"`
	Filename      string `xml:"filename" json:"filename"`
	QueueID       string `xml:"queueID" json:"queueID"`
	QueueName     string `xml:"queueName" json:"queueName"`
	AccountNumber string `xml:"accountNumber" json:"accountNumber"`
	TransactionID string `xml:"transactionID" json:"transactionID"`
	ExtVar1       string `xml:"extVar1" json:"extVar1"`
	ExtVar2       string `xml:"extVar2" json:"extVar2"`
	OutDialCode   string `xml:"outDialCode" json:"outDialCode"`
	Codes         struct {
		Codes struct {
			Code []struct {
				List string `xml:"listName" json:"listName"`
				Name string `xml:"name" json:"name"`
			} `xml:"transactionCode" json:"transactionCode"`
		} `xml:"transactionCodes" json:"transactionCodes"`
	} `xml:"wrapUpCode" json:"wrapUpCode"`
}

func readByHand(f Format, at *url.URL) (count int, err error) {
	suffix := map[Format]string{JSON: ".json", CSV: ".csv"}[f]
	for n := 1; ; n += PageSize {
		resp, err := http.Get(fmt.Sprintf("%s/api/recordings/files%s?n=%d", at, suffix, n))
		if err != nil {
			return count, err
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			return count, err
		}
		var files []byHand
		switch f {
		case JSON:
			var list struct {
				Recordings struct{ File []byHand } `json:"recordings"`
			}
			err = json.Unmarshal(body, &list)
			files = list.Recordings.File
		case CSV:
			var lines [][]string
			lines, err = csv.NewReader(bytes.NewReader(body)).ReadAll()
			for _, l := range lines[1:] {
				files = append(files, byHand{StartDate: l[0], AgentID: l[1], PhoneNumber: l[2], Channel: l[3], CaseID: l[4], Duration: l[5], Filename: l[6]})
			}
		default:
			var list struct {
				File []byHand `xml:"file"`
			}
			err = xml.Unmarshal(body, &list)
			files = list.File
		}
		if err != nil {
			return count, err
		}
		for _, one := range files {
			if _, err := time.Parse(time.RFC3339, one.StartDate); err != nil {
				return count, err
			}
		}
		if count += len(files); len(files) < PageSize {
			return count, nil
		}
	}
}

// BenchmarkList10000 lists 10,000 records in each format. "×_by_hand" is how many times as long it takes as reading the same bytes
// by hand, in turns, each at its best: below 1 it is quicker.
func BenchmarkList10000(b *testing.B) {
	for _, f := range []Format{XML, JSON, CSV} {
		b.Run(string(f), func(b *testing.B) {
			at := archiveOf(b, f, benchRecords)
			client, err := New(Settings{BaseURL: at, Tenant: "acme", DataToken: secret.New(canary), Format: f}, upstream.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer client.Close()
			ours, hands := time.Hour, time.Hour
			b.ReportAllocs()
			for b.Loop() {
				began, count := time.Now(), 0
				for _, err := range client.Recordings(b.Context(), Query{}) {
					if err != nil {
						b.Fatal(err)
					}
					count++
				}
				ours = min(ours, time.Since(began))
				b.StopTimer()
				began = time.Now()
				other, err := readByHand(f, at)
				hands = min(hands, time.Since(began))
				if err != nil || count != benchRecords || other != benchRecords {
					b.Fatalf("%d and %d records, %v", count, other, err)
				}
				b.StartTimer()
			}
			b.ReportMetric(float64(ours)/float64(hands), "×_by_hand")
			b.ReportMetric(benchRecords/ours.Seconds(), "records/s")
		})
	}
}
