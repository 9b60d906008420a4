// Usage: peer publish|pull|stream HOST:PORT MESSAGES
// Google's Go client doing what pubsub_bench does: messages of 250 bytes, 1,000 a request. One round;
// prints a row of the same table. pull and stream publish first, outside of the measured time.
package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const project = "bench"

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func cpuSeconds() float64 {
	var usage syscall.Rusage
	must(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	seconds := func(t syscall.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }
	return seconds(usage.Utime) + seconds(usage.Stime)
}

func publish(ctx context.Context, client *pubsub.Client, topic string, count int) {
	publisher := client.Publisher(topic)
	publisher.PublishSettings.CountThreshold = 1000
	publisher.PublishSettings.ByteThreshold = 9000000
	data := bytes.Repeat([]byte("x"), 250)
	results := make([]*pubsub.PublishResult, count)
	for i := range results {
		results[i] = publisher.Publish(ctx, &pubsub.Message{Data: data})
	}
	for _, result := range results {
		_, err := result.Get(ctx)
		must(err)
	}
	publisher.Stop()
}

func stream(ctx context.Context, client *pubsub.Client, subscription string, count int) {
	ctx, cancel := context.WithCancel(ctx)
	subscriber := client.Subscriber(subscription)
	subscriber.ReceiveSettings.MaxOutstandingMessages = 10000
	var got atomic.Int64
	must(subscriber.Receive(ctx, func(_ context.Context, message *pubsub.Message) {
		message.Ack()
		if got.Add(1) == int64(count) {
			cancel()
		}
	}))
}

func pull(ctx context.Context, client *pubsub.Client, subscription string, count int) {
	for got := 0; got < count; {
		response, err := client.SubscriptionAdminClient.Pull(ctx,
			&pubsubpb.PullRequest{Subscription: subscription, MaxMessages: 1000})
		must(err)
		var ids []string
		for _, received := range response.ReceivedMessages {
			ids = append(ids, received.AckId)
		}
		if len(ids) > 0 {
			must(client.SubscriptionAdminClient.Acknowledge(ctx,
				&pubsubpb.AcknowledgeRequest{Subscription: subscription, AckIds: ids}))
		}
		got += len(ids)
	}
}

// Whether the service keeps what is published.
func makeNames(ctx context.Context, client *pubsub.Client, topic, subscription string) bool {
	_, err := client.TopicAdminClient.CreateTopic(ctx, &pubsubpb.Topic{Name: topic})
	if status.Code(err) == codes.Unimplemented {
		return false
	}
	must(err)
	_, err = client.SubscriptionAdminClient.CreateSubscription(ctx,
		&pubsubpb.Subscription{Name: subscription, Topic: topic, AckDeadlineSeconds: 60})
	must(err)
	return true
}

func main() {
	ctx := context.Background()
	what := os.Args[1]
	must(os.Setenv("PUBSUB_EMULATOR_HOST", os.Args[2]))
	count, err := strconv.Atoi(os.Args[3])
	must(err)
	client, err := pubsub.NewClient(ctx, project)
	must(err)
	name := fmt.Sprintf("go-%s-%d", what, os.Getpid())
	topic := "projects/" + project + "/topics/" + name
	subscription := "projects/" + project + "/subscriptions/" + name
	if makeNames(ctx, client, topic, subscription) && what != "publish" {
		publish(ctx, client, topic, count)
	}
	start, cpu := time.Now(), cpuSeconds()
	switch what {
	case "publish":
		publish(ctx, client, topic, count)
	case "pull":
		pull(ctx, client, subscription, count)
	case "stream":
		stream(ctx, client, subscription, count)
	}
	wall := time.Since(start).Seconds()
	cpu = cpuSeconds() - cpu
	fmt.Printf("| %s | Go | %.0f messages/s | %.3f us CPU |\n", what, float64(count)/wall,
		cpu/float64(count)*1e6)
}
