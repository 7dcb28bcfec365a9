% # In place of the provider's page, on a developer's own machine.
% rebase("base.tpl")
<p>Choose an account. DSG_DEV_LOGIN is set, so this server does not ask a sign-in provider. Use this setting only on your
own machine, to try things out.</p>
<form action="{{callback}}" method="get">
<input type="hidden" name="state" value="{{state}}">
% for person in people:
<p class="row"><button class="plain" name="code" value="{{person["email"]}}">{{person["email"]}}</button>
<span class="soft"><bdi dir="auto">{{person["display_name"] or person["name"]}}</bdi></span></p>
% end
</form>
<form action="{{callback}}" method="get">
<input type="hidden" name="state" value="{{state}}">
<p><label for="email">Another email address</label></p>
<p class="row"><input id="email" name="code" type="email" required> <button>Sign in</button></p>
</form>
