# A server for the tests of `cage forward`: server.pl ADDRESS PORT DIRECTORY. What a connection says first is what it gets.
use strict;
use Socket qw(:DEFAULT inet_pton pack_sockaddr_in6);
use Digest::SHA qw(sha1_base64);

my ($address, $port, $dir) = @ARGV;
my $six = $address =~ /:/;
my $packed = inet_pton($six ? AF_INET6 : AF_INET, $address);
socket(my $listener, $six ? PF_INET6 : PF_INET, SOCK_STREAM, 0) or die "socket: $!\n";
setsockopt($listener, SOL_SOCKET, SO_REUSEADDR, 1);
bind($listener, $six ? pack_sockaddr_in6($port, $packed) : pack_sockaddr_in($port, $packed)) or die "bind: $!\n";
listen($listener, 1000);
$SIG{CHLD} = 'IGNORE';

my ($client, $read);
while (1) {
    accept($client, $listener) or next;
    last if !fork;
    close $client;
}
close $listener;
$read = '';

sub more { return sysread($client, $read, 65536, length $read) }
sub take { more() or exit while length $read < $_[0]; return substr($read, 0, $_[0], '') }
sub line { more() or exit while $read !~ /\n/; $read =~ s/^(.*?)\r?\n//; return $1 }
sub all { 1 while more() }
sub say_it { my $text = shift; while (length $text) { substr($text, 0, syswrite($client, $text) || exit) = '' } }
sub file { open(my $file, '<', "$dir/random") or die; local $/; return <$file> }

while (1) {
    my $request = line();
    if ($request eq 'count') {
        all();
        select(undef, undef, undef, 0.7);
        say_it("got " . length $read);
        exit;
    } elsif ($request eq 'halves') {
        say_it('bye');
        shutdown($client, 1);
        all();
        open(my $file, '>', "$dir/halves");
        print $file length $read;
        exit;
    } elsif ($request =~ /^send (\d+)$/) {
        my $file = file();
        say_it($file) for 1 .. $1;
        exit;
    } elsif ($request =~ /^take (\d+)$/) {
        my $file = file();
        for (1 .. $1) { take(length $file) eq $file or say_it('different'), exit }
        all();
        say_it(length $read ? 'too much' : 'the same');
        exit;
    } elsif ($request =~ m{^GET (\S+)}) {
        my ($path, $key) = $1;
        while (my $header = line()) { $key = $1 if $header =~ /^Sec-WebSocket-Key: (.*)/i }
        if ($path eq '/events') {
            say_it("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: one\n\n");
            select(undef, undef, undef, 0.3);
            say_it("data: two\n\n");
            # Never looks at the connection again.
            sleep;
        } elsif ($path eq '/old') {
            say_it("HTTP/1.0 200 OK\r\n\r\nuntil the end");
            exit;
        } elsif (defined $key) {
            my $accept = sha1_base64($key . '258EAFA5-E914-47DA-95CA-C5AB0DC85B11') . '=';
            say_it("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                . "Sec-WebSocket-Accept: $accept\r\n\r\n");
            frame() while 1;
        }
        say_it("HTTP/1.1 200 OK\r\nContent-Length: " . (6 + length $path) . "\r\n\r\nhello $path");
    }
}

# Says a frame of a WebSocket back.
sub frame {
    my ($kind, $size) = unpack 'CC', take(2);
    $size &= 127;
    $size = unpack 'n', take(2) if $size == 126;
    my $mask = take(4);
    my $text = take($size) ^ substr($mask x ($size / 4 + 1), 0, $size);
    say_it(pack('C', $kind) . ($size < 126 ? pack('C', $size) : pack('Cn', 126, $size)) . $text);
    exit if ($kind & 15) == 8;
}
