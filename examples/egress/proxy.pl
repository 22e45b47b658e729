# A proxy on port 3128 that connects (CONNECT, as for HTTPS) to the hosts in a file, and to nothing else. It sees names, not contents.
use strict;
use warnings;
use IO::Select;
use IO::Socket::IP;

open(my $file, '<', $ARGV[0]) or die "$ARGV[0]: $!\n";
my %allowed;
while (my $host = <$file>) {
    $host =~ s/#.*|\s+//g;
    next if $host eq '';
    $allowed{ lc($host =~ /:/ ? $host : "$host:443") } = 1;
}

my $listener = IO::Socket::IP->new(LocalPort => 3128, Listen => 100, ReuseAddr => 1) or die "port 3128: $@\n";
$SIG{CHLD} = 'IGNORE';
$SIG{TERM} = sub { exit };
$| = 1;
while (1) {
    my $client = $listener->accept or next;
    my $child = fork;
    if (defined $child && $child == 0) {
        close $listener;
        serve($client);
        exit;
    }
    close $client;
}

sub serve {
    my ($client) = @_;
    alarm 60;
    my $request = '';
    until ($request =~ /\r\n\r\n/) {
        return if length $request > 16384;
        sysread($client, $request, 4096, length $request) or return;
    }
    my ($head, $rest) = split /\r\n\r\n/, $request, 2;
    my ($host, $port) = $head =~ m{^CONNECT ([A-Za-z0-9.-]+):([0-9]+) HTTP/1\.[01](?:\r\n|$)};
    if (!$host || !$allowed{ lc "$host:$port" }) {
        my ($line) = $head =~ /^([ -~]*)/;
        print "refused: $line\n";
        syswrite $client, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        return;
    }
    my $server = IO::Socket::IP->new(PeerHost => $host, PeerService => $port, Type => SOCK_STREAM);
    if (!$server) {
        syswrite $client, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        return;
    }
    alarm 0;
    syswrite $client, "HTTP/1.1 200 Connected\r\n\r\n";
    syswrite $server, $rest if length $rest;
    relay($client, $server);
}

# Copies in both directions until both ends have said everything.
sub relay {
    my ($client, $server) = @_;
    $SIG{PIPE} = 'IGNORE';
    my %other = ($client => $server, $server => $client);
    my $open = IO::Select->new($client, $server);
    while (my @ready = $open->can_read) {
        for my $from (@ready) {
            my $to = $other{$from};
            if (sysread $from, my $data, 65536) {
                while (length $data) {
                    my $sent = syswrite($to, $data) or return;
                    substr($data, 0, $sent) = '';
                }
            }
            else {
                $open->remove($from);
                shutdown $to, 1;
            }
        }
    }
}
